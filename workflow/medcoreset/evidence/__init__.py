"""What methods look at: training dynamics, and the outputs, features and gradients of a model."""

from medcoreset.evidence.evidence import Evidence

__all__ = ["Evidence"]
