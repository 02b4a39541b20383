"""The embedded server: TensorFlow Serving's interfaces around a SavedModel session, without Keras.

`launch.serve(settings)` is a process's only job (command line); `app.running_server(settings)` serves beside other
code. Importing this package costs nothing; TensorFlow comes in with `servable`.
"""
