# The embedded server: docker build -f docker/serve.Dockerfile -t zoo-serve . && docker run -p 8500:8500 -p 8501:8501 -v $PWD/models:/models:ro zoo-serve
FROM python:3.11-slim
WORKDIR /opt/zoo
COPY pyproject.toml README.md LICENSE ./
COPY .ci/constraints.txt .ci/constraints.txt
COPY zoo zoo
COPY serving serving
COPY tuning tuning
RUN pip install --no-cache-dir --constraint .ci/constraints.txt .
RUN useradd --create-home --uid 1000 zoo
USER zoo
EXPOSE 8500 8501
# A container's network is its own, so the server may listen on all of its addresses.
ENTRYPOINT ["zoo", "serve", "/models", "--host", "0.0.0.0"]
