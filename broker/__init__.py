"""RabbitMQ: addresses, connections, reading, sending; the driver's errors in our words."""
