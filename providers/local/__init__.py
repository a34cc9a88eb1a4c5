"""The workstation, through NVML: where work begins, judged like a cloud."""
