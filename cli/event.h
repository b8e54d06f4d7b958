/* cli/event.h -- what the files of luge event share. */
#ifndef CLI_EVENT_H
#define CLI_EVENT_H

#include "cli.h"
#include "luge_event.h"

/* event.c: the store at --path. */
int event_store(const struct call *c, luge_txn *txn, unsigned flags,
                struct luge_events *events);
/* Objects and arrays are kept as JSON. */
bool event_is_json(luge_bytes payload);

/* event_import.c: an action, inside of luge_transact. */
int event_import(luge_txn *txn, void *call);

#endif
