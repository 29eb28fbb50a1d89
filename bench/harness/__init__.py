"""The bench's orchestration: machine, servers, load, areas, report. Started by bench/run."""
