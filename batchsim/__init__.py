"""batchsim: a discrete-event simulator of AWS Batch for capacity planning."""
