"""What makes committed files anew; a package, since others bring one of this name into an environment."""
