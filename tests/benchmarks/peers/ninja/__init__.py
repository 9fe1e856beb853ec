"""A bare Ninja endpoint with one ORM query for each request of the scenario `rest`."""
