"""Pretrained networks, each as a body (images -> features) and a head (features -> classes)."""

from tlkit.backbones.backbone import Backbone, BackboneUnavailable, load_backbone
from tlkit.backbones.transform import Transform

__all__ = ["Backbone", "BackboneUnavailable", "Transform", "load_backbone"]
