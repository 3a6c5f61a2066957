"""The pages (综合服务的网页): what a city shows people. Knows the other domains, none knows it."""

from backend.portal.service import Portal

__all__ = ["Portal"]
