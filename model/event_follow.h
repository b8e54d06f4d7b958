/* model/event_follow.h -- what projections need of followers besides
 * luge_event.h. */
#ifndef MODEL_EVENT_FOLLOW_H
#define MODEL_EVENT_FOLLOW_H

#include "event.h"
#include "wait.h"

/* Go on behind POSITION, or where the query begins if that is later. */
void event_follow_from(luge_event_follower *f, uint64_t position);

/* The next event of the snapshot that is being read.  What was given out of it
 * before stays.  NOTFOUND at its end. */
int event_follow_more(luge_event_follower *f, struct luge_event *event);

/* luge_event_follow_next, up to the moment END_NS (model_end_ns). */
int event_follow_until(luge_event_follower *f, uint64_t end_ns,
                       struct luge_event *event);

#endif
