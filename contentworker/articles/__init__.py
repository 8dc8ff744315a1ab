"""An article on its way through the tasks: its steps, its outcome, and removing it."""
