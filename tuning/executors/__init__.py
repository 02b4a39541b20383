"""Where trials run: processes on this machine, a Ray cluster, KerasTuner's chief and workers."""
