# Trains and exports: docker build -f docker/train.Dockerfile -t zoo-train . && docker run -v $PWD:/work zoo-train demo
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
WORKDIR /work
ENTRYPOINT ["zoo"]
