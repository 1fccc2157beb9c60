"""A real pyClowder extractor that runs one request and prints, as JSON, what pyClowder gave it."""

import json
import sys
import threading

from pyclowder.connectors import RabbitMQConnector
from pyclowder.utils import CheckMessage, StatusMessage


def main() -> None:
    amqp_url, queue = sys.argv[1:]
    done = threading.Event()
    seen = {}

    def process(connector, host, _secret_key, resource, parameters) -> None:
        connector.status_update(StatusMessage.processing, resource, "at work")
        seen.update(host=host, resource=resource, parameters=parameters)
        done.set()

    def check(*_) -> CheckMessage:
        return CheckMessage.bypass

    info = {"name": queue, "version": "1.0", "process": {"file": ["*"]}}
    connector = RabbitMQConnector(queue, info, amqp_url, check_message=check, process_message=process, heartbeat=60)
    connector.connect()
    connector.channel.basic_consume(queue, connector.on_message)
    while not done.is_set() or connector.worker is not None:
        connector.connection.process_data_events(time_limit=0.1)
        if connector.worker:
            connector.worker.process_messages(connector.channel, queue)
            if connector.worker.is_finished():
                connector.worker = None
    connector.connection.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
