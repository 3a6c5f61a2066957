"""What any card tells a reader without being asked for a secret: read, decoded, in two languages.

The door: `survey_card` reads, `lines_of` writes it down for a person.
"""

from hce.inspect.commands import Channel
from hce.inspect.survey import CardReport, survey_card
from hce.inspect.text import Language, lines_of, masked

__all__ = ["CardReport", "Channel", "Language", "lines_of", "masked", "survey_card"]
