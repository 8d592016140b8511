"""The rows of the benchmark. Each module has `NAMES` and `run(name)`: figures, and what they were made of."""

from rows import (
    commands,
    contention,
    core,
    file_handover,
    file_idle,
    file_pairs,
    file_service,
    handover,
    idle,
    killed,
    order,
    renewals,
    server_cpu,
    sharing,
    throughput,
    topologies,
)

MODULES = [
    throughput,
    server_cpu,
    handover,
    contention,
    sharing,
    commands,
    idle,
    renewals,
    order,
    killed,
    topologies,
    file_pairs,
    file_handover,
    file_idle,
    file_service,
    core,
]
GROUPS = {module.__name__.rpartition(".")[2]: module.NAMES for module in MODULES}
RUN = {name: module.run for module in MODULES for name in module.NAMES}
