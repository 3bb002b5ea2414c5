# An image that serves a packed model. It was written with care and never built: no machine of the project runs Docker.
#
#   striata pack runs/mine/ensemble --out model
#   docker build -t striata .
#   docker run --read-only --tmpfs /tmp -p 8000:8000 -v "$PWD/model:/model:ro" striata serve /model --host 0.0.0.0
FROM python:3.12-slim

WORKDIR /striata
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir '.[serve]' && useradd --create-home striata

USER striata
WORKDIR /home/striata
ENV HF_HUB_OFFLINE=1
EXPOSE 8000
ENTRYPOINT ["striata"]
CMD ["serve", "/model", "--host", "0.0.0.0"]
