# Mosquitto tells who was denied what at its noisiest level only. This passes on what a person
# wants to see of that, and all that is said at the other levels.
#
# A SUBSCRIBE shows as its client, then each topic with, if it is granted, a line of its own, then
# the answer (2.0.21, src/handle_subscribe.c).

function denied() {
	if (topic != "") print stamp "Denied SUBSCRIBE from " client " to " topic
	topic = ""
}

{
	at = index($0, ": ")
	stamp = substr($0, 1, at + 1)
	text = substr($0, at + 2)
}

text ~ /^Received SUBSCRIBE from / {
	topic = ""
	client = substr(text, 25)
	subscribing = 1
	next
}

subscribing && text ~ /^\t.* \(QoS [012]\)$/ {
	denied()
	topic = substr(text, 2, length(text) - 9)
	next
}

# "CLIENT QOS TOPIC"
subscribing && topic != "" && index(text, client " ") == 1 &&
		substr(text, length(client) + 4) == topic {
	topic = ""
	next
}

text ~ /^Sending SUBACK to / {
	denied()
	subscribing = 0
	next
}

text ~ /^(Received|Sending) [A-Z]+ (from|to) / { next }
text ~ /^(No will|Will) message specified/ || text ~ /^\t/ { next }

{ print }
