/* cli/event.h -- what the files of luge event share. */
#ifndef CLI_EVENT_H
#define CLI_EVENT_H

#include "cli.h"
#include "luge_event.h"

/* event.c: the store at --path. */
int event_store(const struct call *c, luge_txn *txn, unsigned flags,
                struct luge_events *events);

/* event_import.c: an action, inside of luge_transact; and what is done before
 * the database is opened: the file's bytes become argument 3.  An exit code. */
int event_import(luge_txn *txn, void *call);
int event_import_read(struct call *c);

#endif
