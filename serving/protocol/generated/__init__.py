"""Made by protoc from ../protos; serving/protocol/__init__.py says how. Do not edit."""
