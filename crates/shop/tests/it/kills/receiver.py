# Is told of events, and may be killed at any moment of it. An event is on the disk before anybody hears that it was taken;
# some are refused, and of some nobody hears that they were taken.
import http.server, json, os, random, time

heard = os.open(os.environ["HEARD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        mood = random.random()
        time.sleep(random.random() * 0.01)  # A moment to be killed in.
        if mood < 0.05:
            return self.answer(503)
        os.write(heard, f"{event['data']['order_id']} {event['id']} {event['type']}\n".encode())
        os.fsync(heard)
        time.sleep(random.random() * 0.01)  # Another one.
        if mood < 0.07:
            time.sleep(2)  # Nobody waits for so long.
        if mood > 0.1:
            self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Receiver).serve_forever()
