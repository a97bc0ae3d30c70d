from __future__ import annotations

import subprocess
import sys


def test_reading_a_scenario_imports_no_heavy_library(kth):
    program = (
        "import sys; from batchsim.scenario import load_scenario, json_schema; "
        f"load_scenario({str(kth)!r}).digest(); json_schema(); "
        "print(sorted({name.partition('.')[0] for name in sys.modules} "
        "& {'numpy', 'pandas', 'matplotlib', 'scipy', 'pyarrow', 'simpy', 'typer', 'rich'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
