"""What is to be computed: configuration, experiments, and the plan of what they ask for."""
