"""The embedded default: a private RabbitMQ and MongoDB, so that nothing has to be installed or started first."""
