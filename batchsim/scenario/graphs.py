"""Cycles in small directed graphs of names."""

from collections.abc import Iterable, Mapping


def a_cycle(edges: Mapping[str, Iterable[str]]) -> list[str]:
    """A path that ends where it begins, such as [a, b, a]; empty if there is none.

    Names that no key has lead nowhere. Takes time in proportion to names and edges, and no recursion.
    """
    done: set[str] = set()
    for start in edges:
        if start in done:
            continue
        path, on_path = [start], {start}
        open_edges = [iter(edges[start])]
        while path:
            following = next(open_edges[-1], None)
            if following is None:
                open_edges.pop()
                done.add(path[-1])
                on_path.discard(path.pop())
            elif following in on_path:
                return [*path[path.index(following) :], following]
            elif following in edges and following not in done:
                path.append(following)
                on_path.add(following)
                open_edges.append(iter(edges[following]))
    return []
