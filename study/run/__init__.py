"""Running studies: from what a person typed to trials that workers train."""
