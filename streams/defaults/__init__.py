"""Files that are shipped inside the package: default policy, scorecard, words, templates."""
