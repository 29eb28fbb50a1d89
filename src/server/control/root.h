/* The root struct of control; made and filled in by control.c. */
#ifndef SERVER_CONTROL_ROOT_H
#define SERVER_CONTROL_ROOT_H

#include "server/control/rings.h"
#include "server/front_frame.h"
#include "server/totals.h"

struct control {
	struct front_frame frame; /* first: frame_root */
	struct table questions;   /* that auth has not answered; key: the question's number */
	uint64_t last_number;
	struct totals_pages pages;
	struct ipc_control_peers peers; /* whose commands are obeyed */
	struct loop_deadlines idle, fresh, answer, patient;
	struct rings rings;
	struct caller *tracers; /* who follow sessions */
	struct loop_timer look; /* for them */
};

#endif
