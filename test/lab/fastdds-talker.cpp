// A participant of Fast DDS with its default settings (FASTRTPS_DEFAULT_PROFILES_FILE, ROS_DISCOVERY_SERVER).
// It publishes its name ten times a second, and prints whom it hears: `heard NAME`, one line for each sample.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fastdds/dds/domain/DomainParticipant.hpp>
#include <fastdds/dds/domain/DomainParticipantFactory.hpp>
#include <fastdds/dds/publisher/DataWriter.hpp>
#include <fastdds/dds/publisher/Publisher.hpp>
#include <fastdds/dds/subscriber/DataReader.hpp>
#include <fastdds/dds/subscriber/DataReaderListener.hpp>
#include <fastdds/dds/subscriber/SampleInfo.hpp>
#include <fastdds/dds/subscriber/Subscriber.hpp>
#include <fastdds/dds/topic/TopicDataType.hpp>
#include <fastdds/dds/topic/TypeSupport.hpp>
#include <string>
#include <thread>

using namespace eprosima::fastdds::dds;
using eprosima::fastrtps::rtps::InstanceHandle_t;
using eprosima::fastrtps::rtps::SerializedPayload_t;

struct Name {
  char text[60];
};

class NameType : public TopicDataType {
 public:
  NameType() {
    setName("Name");
    m_typeSize = sizeof(Name);
    m_isGetKeyDefined = false;
  }
  bool serialize(void *data, SerializedPayload_t *payload) override {
    memcpy(payload->data, data, sizeof(Name));
    payload->length = sizeof(Name);
    return true;
  }
  bool deserialize(SerializedPayload_t *payload, void *data) override {
    if (payload->length != sizeof(Name)) return false;
    memcpy(data, payload->data, sizeof(Name));
    return true;
  }
  std::function<uint32_t()> getSerializedSizeProvider(void *) override {
    return [] { return static_cast<uint32_t>(sizeof(Name)); };
  }
  void *createData() override { return new Name{}; }
  void deleteData(void *data) override { delete static_cast<Name *>(data); }
  bool getKey(void *, InstanceHandle_t *, bool) override { return false; }
};

class Hearer : public DataReaderListener {
 public:
  explicit Hearer(const std::string &own) : own_(own) {}
  void on_data_available(DataReader *reader) override {
    Name name;
    SampleInfo info;
    while (reader->take_next_sample(&name, &info) == ReturnCode_t::RETCODE_OK) {
      if (info.valid_data && own_ != name.text) printf("heard %s\n", name.text);
    }
  }

 private:
  const std::string own_;
};

int main(int, char *argv[]) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  auto *factory = DomainParticipantFactory::get_instance();
  factory->load_profiles();
  auto *participant = factory->create_participant(0, factory->get_default_participant_qos());
  if (participant == nullptr) return 1;
  TypeSupport type(new NameType());
  type.register_type(participant);
  auto *topic = participant->create_topic("names", "Name", TOPIC_QOS_DEFAULT);
  Hearer hearer(argv[1]);
  participant->create_subscriber(SUBSCRIBER_QOS_DEFAULT)->create_datareader(topic, DATAREADER_QOS_DEFAULT, &hearer);
  auto *writer = participant->create_publisher(PUBLISHER_QOS_DEFAULT)->create_datawriter(topic, DATAWRITER_QOS_DEFAULT);
  printf("ready\n");
  for (;;) {
    Name name{};
    snprintf(name.text, sizeof name.text, "%s", argv[1]);
    writer->write(&name);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}
