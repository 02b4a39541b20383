# Searches on a Ray cluster: docker build -f docker/tune.Dockerfile -t zoo-tune . (docker/kuberay-tune.yaml uses it)
FROM python:3.11-slim
WORKDIR /opt/zoo
COPY pyproject.toml README.md LICENSE ./
COPY .ci/constraints.txt .ci/constraints.txt
COPY zoo zoo
COPY serving serving
COPY tuning tuning
# ray[default] is Ray's dashboard, through which KubeRay submits the command and sees how it goes.
RUN pip install --no-cache-dir --constraint .ci/constraints.txt ".[tune,ray]" "ray[default]"
RUN useradd --create-home --uid 1000 zoo
USER zoo
WORKDIR /search
ENTRYPOINT ["zoo"]
