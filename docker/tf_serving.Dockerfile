# The real TensorFlow Serving with a model inside: docker build -f docker/tf_serving.Dockerfile --build-arg MODEL=digits -t digits .
# The build context holds models/<MODEL>/<version>/ as `zoo export` wrote it.
FROM tensorflow/serving:2.20.0
ARG MODEL
ENV MODEL_NAME=${MODEL}
COPY models/${MODEL} /models/${MODEL}
EXPOSE 8500 8501
# Per-model batching reads the batching_params.pbtxt that every exported version carries.
CMD ["--enable_batching", "--enable_per_model_batching_parameters"]
