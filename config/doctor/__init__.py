"""What `manage.py doctor` looks at, one file for each thing."""
