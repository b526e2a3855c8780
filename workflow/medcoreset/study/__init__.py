"""What is to be computed: configuration, experiments, and the plan of runs they ask for."""
