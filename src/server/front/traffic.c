/* See traffic.h. */
#include "server/front/traffic.h"

#include "server/front/session.h"

void traffic_answer(const struct front *front, struct peer *auth, const struct ipc_traffic *message)
{
	struct ipc_traffic_row rows[IPC_TRAFFIC_MAX];
	struct ipc_traffic answer = {.number = message->number};
	const uint64_t *numbers = (const uint64_t *)(const void *)ipc_tail(message);
	pop3_span tail;

	for (uint32_t i = 0; i < message->count; i++) {
		const struct session *session = session_find(front, numbers[i]);

		if (session)
			rows[answer.count++] = (struct ipc_traffic_row){
				.session = numbers[i],
				.octets = session->ending.retr_octets + session->ending.top_octets,
				.messages = session->ending.retr};
	}
	tail = (pop3_span){(const char *)rows, answer.count * sizeof(rows[0])};
	peer_send_parts(auth, IPC_TRAFFIC_ANSWER, &answer, &tail, 1);
}
