import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import java.util.List;

/**
 * A MongoDB-compatible server in memory; the only argument is its port.
 *
 * The H2 backend, because the plain memory backend changes documents in place: readers see half of
 * an update. Wire version 9, because current drivers refuse the version that it names by itself.
 */
public class MongoMain {
    public static void main(String[] args) throws Exception {
        MongoVersion version = new MongoVersion() {
            public List<Integer> getVersionArray() {
                return List.of(4, 4, 0);
            }

            public int getWireVersion() {
                return 9;
            }
        };
        MongoServer server = new MongoServer(H2Backend.inMemory().version(version));
        server.bind("127.0.0.1", Integer.parseInt(args[0]));
        Thread.currentThread().join();
    }
}
