"""What a training leaves behind for methods to look at: its dynamics, and outputs of its model."""
