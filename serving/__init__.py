"""From a trained model to an answered request: export, protocol, server, client. Importing this loads nothing."""
