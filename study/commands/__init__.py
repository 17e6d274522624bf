"""The commands by subject. Heavy modules are imported inside, so that --help is quick."""
