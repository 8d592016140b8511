"""The rows of the benchmark. Each module has `NAMES` and `run(name)`, which gives figures and what they were made of."""

from rows import commands, contention, handover, server_cpu, throughput

MODULES = [throughput, server_cpu, handover, contention, commands]
RUN = {name: module.run for module in MODULES for name in module.NAMES}
