/*
 * Figures that control has itself: the counters of all processes, whose pages it maps for reading,
 * and its configuration. Lines for people, the caller's to free. No secrets, no users, no
 * addresses; yet who asks is judged, as everywhere.
 */
#ifndef SERVER_CONTROL_FIGURES_H
#define SERVER_CONTROL_FIGURES_H

#include "server/control/root.h"

enum figures_topic { FIGURES_STATS, FIGURES_CERTIFICATES, FIGURES_TOPICS };

/* NULL: no memory. */
char *figures_lines(const struct control *control, enum figures_topic topic, size_t *ret_size,
		    uint64_t *ret_count);

#endif
