"""What is found now of what was taken from a queue within an hour."""

from models.conservation import Findings, Tally
from store.database import Database, Document, translated


async def find(database: Database, tally: Tally) -> Findings:
    """Count the documents that have the numbers of an hour.

    Args:
        database: The trail's database.
        tally: The queue, and the hour's numbers.

    Returns:
        The counts.

    Raises:
        StoreError: The database can't be reached.
    """
    numbers = {"$gte": tally.first_seq, "$lte": tally.last_seq}
    taken: Document = {"queue": tally.queue, "seq": numbers}
    refused: Document = {"origin": tally.queue, "origin_seq": numbers}
    letters, archive = database.collection("dead_letters"), database.collection("dead_letter_archive")
    with translated():
        # A queue is a reply queue or a captured one; either way its messages are in one of these.
        stored = (
            await database.extractions.count_documents(taken, hint="arrival")
            + await letters.count_documents(taken, hint="arrival")
            + await archive.count_documents(taken, hint="arrival")
        )
        found = await letters.count_documents(refused, hint="origin")
        found += await archive.count_documents(refused, hint="origin")
    return Findings(stored=stored, letters=found)
