// What Java asks of Linux: HotSpot's compilers, faults that it turns into exceptions, threads,
// children, sockets. Prints what test lines look for.
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.concurrent.Executors;
import java.util.stream.IntStream;

public class Main {
    static int depth;

    static void deeper() {
        depth++;
        deeper();
    }

    static int primes(int limit) {
        boolean[] sieve = new boolean[limit];
        int count = 0;
        for (int i = 2; i < limit; i++) {
            if (sieve[i]) continue;
            count++;
            for (long j = (long) i * i; j < limit; j += i) sieve[(int) j] = true;
        }
        return count;
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println("java: primes " + primes(2_000_000));
        String none = arguments.length == 0 ? null : "";
        try {
            none.length();
        } catch (NullPointerException e) {
            System.out.println("java: null");
        }
        try {
            deeper();
        } catch (StackOverflowError e) {
            System.out.println("java: too deep " + (depth > 1000));
        }
        var pool = Executors.newFixedThreadPool(8);
        var all = IntStream.range(0, 50).mapToObj(n -> pool.submit(() -> n * n)).toList();
        int sum = 0;
        for (var one : all) sum += one.get();
        pool.shutdown();
        System.out.println("java: pool " + sum);
        var child = new ProcessBuilder("sh", "-c", "echo child; exit 3").start();
        System.out.println("java: " + new String(child.getInputStream().readAllBytes()).strip() + " " + child.waitFor());
        var server = HttpServer.create(new InetSocketAddress("127.0.0.1", 8080), 0);
        server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, 6);
            exchange.getResponseBody().write("served".getBytes());
            exchange.close();
        });
        server.start();
        var request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:8080/")).build();
        var response = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println("java: " + response.body());
        server.stop(0);
    }
}
