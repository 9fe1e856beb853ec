"""The checks of `manage.py doctor`, one file for each subject."""
