"""One-time codes for wishes that the rules let through only with one."""

from backend.virtual_card.step_up.model import Purpose, StepUp, StepUpState
from backend.virtual_card.step_up.service import STEP_UP_REQUESTED, AnswerStepUp, StepUps

__all__ = ["STEP_UP_REQUESTED", "AnswerStepUp", "Purpose", "StepUp", "StepUpState", "StepUps"]
