"""How a training becomes numbers: metrics, and the rules that say of which split and epoch."""
