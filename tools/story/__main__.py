"""Plays the story; see tools.story.player."""

import sys

from tools.story.player import main

sys.exit(main())
