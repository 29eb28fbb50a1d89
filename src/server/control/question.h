/* What a command asks, step by step: auth processes, the monitor, or this process itself. */
#ifndef SERVER_CONTROL_QUESTION_H
#define SERVER_CONTROL_QUESTION_H

#include "server/control/caller.h"

/* Asks for the next page, or says the end. */
void question_go_on(struct caller *caller);

#endif
