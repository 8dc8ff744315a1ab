"""The web application where people answer escalations. Its libraries are in the group `desk`."""
