"""Records of articles that wait for a person's decision. The database libraries load on first use."""
